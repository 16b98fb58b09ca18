cdef class HeadBuilder:
    cdef public bytes _agent, _trace, _high_digits
    cdef public long long _high

    cpdef bytes head(self, bytes prepared, long long seq, long long step, bytes body, bint method_has_body=*)
    cpdef bytes arrival(self, long long seq)
