from loadtests.transport cimport Connection
from loadtests.wire cimport HeadBuilder

cdef class Named:
    cdef public str name
    cdef public long long endpoint
    cdef public object judge, limits, count_tokens

cdef class Client:
    cdef dict __dict__
    cdef public object _user, _place, _origin, _to_the_loop
    cdef public object get, post, put, patch, delete, head, options, headers
    cdef public HeadBuilder _builder
    cdef public list _idle
    cdef public dict _known, _heads, _cookies
    cdef public str base_url

    cpdef Connection _take(self)
    cpdef _exchange(self, Connection connection, bytes request, limits, bint no_body)
    cpdef Named _named(self, str name)
