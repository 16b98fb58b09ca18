cpdef post(connection)
