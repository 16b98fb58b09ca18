from loadtests.client cimport Named
from loadtests.pacing cimport Journey, Pace
from loadtests.session cimport Session
from loadtests.transport cimport Connection

cdef class RunPlace:
    cdef dict __dict__
    cdef public Session _session
    cdef public Pace _pace
    cdef public object heads, _payloads, _identities
    cdef public list _listeners
    cdef public dict _first_endpoint, known
    cdef public long long _setup_stage

    cpdef tuple began(self, user, str name)
    cpdef ended(self, user, Connection connection, str method, Named named, tuple place, tuple verdict, stream)
