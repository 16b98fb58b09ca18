cdef class StageClock:
    cdef public long long start_ns, taken
    cdef public list _ends_ns
    cdef public long long _worker, _workers, _from_ns, _until_ns
    cdef public object _last

    cpdef stage(self, long long at_ns)
    cpdef long long take_seq(self) except *
