from loadtests.clock cimport StageClock

cdef class Journey:
    cdef public bint began, over
    cdef public long long empty_tasks, next_intended_ns, seq, stage, step

cdef class Pace:
    cdef dict __dict__
    cdef public bint closed, stopped
    cdef public dict first_endpoint
    cdef public long long journeys, users, workers
    cdef public StageClock _clock

    cpdef Journey next_journey(self, user)
