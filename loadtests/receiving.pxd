cdef class Receiving:
    cdef public object stream, sink, _recv_into, _recvmsg_into, _parser
    cdef public bint busy, keep_body, polled, _no_body, _head_done, _complete, _keep_alive
    cdef public bytes head
    cdef public list body
    cdef public long long status, bytes_in, body_bytes, counted_bytes
    cdef public long long first_byte_ns, read_ns, deadline_ns, total_deadline_ns

    cpdef _succeed(self)
    cpdef _end_of_stream(self)
    cpdef _broken(self, error)
    cpdef _fail(self, outcome, error)
    cpdef _join_the_poll(self)
    cpdef close(self)
    cpdef bint _took(self, data) except *
    cpdef _too_much(self)
    cpdef release(self)
    cpdef bint _is_known(self, bytes piece) except *
