cdef class KnownHeads:
    cdef public dict _known
    cdef public long long _pause, _sits_out

    cpdef long long look(self, bytes piece, Py_ssize_t end) except *
    cpdef learn(self, bytes head, long long status, long long body_bytes)
