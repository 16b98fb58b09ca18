cdef class Evidence:
    cdef dict __dict__
    cdef public list first
    cdef public long long slow_ns
