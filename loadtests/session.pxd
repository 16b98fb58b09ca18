from loadtests.evidence cimport Evidence
from loadtests.wire cimport HeadBuilder
from loadtests.transport cimport Connection
from loadtests.recorder cimport Recorder

cdef class Session:
    cdef dict __dict__
    cdef public list origins
    cdef public Recorder recorder
    cdef public HeadBuilder heads
    cdef public object _sweep
    cdef public long long in_flight, stale, _looks_after
    cdef public dict own_faults
    cdef public str closing

    cpdef finished(
        self, Connection connection, long long seq, long long step, long long stage, long long endpoint, long long user,
        long long intended_ns, tuple verdict, stream=*, long long attempt=*,
    )
