package xblsim

// Keys returns how many keys the server remembers.
func (s *Server) Keys() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.limiter.Keys()
}
