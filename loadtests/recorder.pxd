from loadtests.evidence cimport Evidence

cdef class Recorder:
    cdef dict __dict__
    cdef public long long start_ns, arrivals
    cdef public Evidence evidence
    cdef public object timings, when_full
    cdef public bytearray _buffer
    cdef public Py_ssize_t _offset

    cpdef row(
        self, long long seq, long long step, long long stage, long long endpoint, long long user, long long replica,
        long long intended_ns, long long sent_ns, long long connect_ns, long long first_byte_ns,
        long long first_token_ns, long long done_ns, long long status, outcome, long long error_id,
        long long bytes_out, long long bytes_in, long long tokens_in, long long tokens_out, long long tokens_source,
        long long attempt,
    )
