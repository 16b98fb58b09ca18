from loadtests.receiving cimport Receiving

cdef class Connection(Receiving):
    cdef public object origin, source, finish, outcome
    cdef public object _watcher, _write_watcher, _opening, _gevent_socket, _unsent
    cdef public bytes _request
    cdef public str error
    cdef public bint _fresh
    cdef public long long sent_ns, connect_ns, done_ns, used_ns, bytes_out, _answer_deadline_ns

    cpdef start(self, bytes request, limits, bint no_body=*)
    cpdef send_posted(self)
    cpdef _send(self, bytes request)
    cpdef _end(self)
    cpdef _leave_the_poll(self)
