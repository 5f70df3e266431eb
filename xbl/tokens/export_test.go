package tokens

// Unlimited has do run without limits, and what it did counted for nothing.
func (c *Cache) Unlimited(do func()) {
	c.mu.Lock()
	windows := c.backlog.limit.windows
	c.backlog.limit.windows = nil
	c.mu.Unlock()
	do()
	c.mu.Lock()
	c.backlog.limit.windows = windows
	c.mu.Unlock()
}
