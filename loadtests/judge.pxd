cdef class Judge:
    cdef public object _status, _contains, _path
    cdef public long long _min_tokens
    cdef public bint needs_body
