cdef class Response:
    cdef public object tokens, outcome, report, _manual, _content
    cdef public str url, error
    cdef public long long status_code, _elapsed_ns
    cdef public bytes _head
    cdef public list _body
