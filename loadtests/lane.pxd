from loadtests.clock cimport StageClock
from loadtests.session cimport Session
from loadtests.transport cimport Connection

cdef class Route:
    cdef public Session _session
    cdef public object endpoint, _payloads, count_tokens, judge, limits
    cdef public long long index, retries
    cdef public bint no_body, streamed, _constant
    cdef public dict _cache, _around

    cpdef bytes request(self, long long seq, long long replica, long long key)

cdef class Slot:
    cdef public Lane lane
    cdef public Connection connection
    cdef public list home
    cdef public object stream
    cdef public Route route
    cdef public long long user, seq, stage, intended_ns, attempt, deadline_ns, first_sent_ns

    cpdef send(self, Route route, long long seq, long long stage, long long intended_ns)
    cpdef conclude(self, tuple verdict)

cdef class Lane:
    cdef public Session session
    cdef public StageClock _clock
    cdef public object _payloads, _think
    cdef public Route _only
    cdef public bint _duet, closed, stopped
    cdef public long long _cap, users
    cdef public list _strides
    cdef public object _sources
    cdef public dict _routes, _free, pausing

    cpdef give(self, long long seq, long long intended_ns, long long stage)
    cpdef next(self, Slot slot)
    cpdef _continue(self, Slot slot, long long intended_ns)
    cpdef double _pause(self, Slot slot) except *
    cpdef long long key(self, long long seq) except *
    cpdef long long _replica(self, long long seq, long long stage) except *
    cpdef _home(self, long long seq, long long replica)
