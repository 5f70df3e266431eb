package embeddedtest

import "sync"

// Gate holds up whoever wants to pass while it is shut. Its zero value is open. It may be used by several goroutines, and in a bubble.
type Gate struct {
	mu   sync.Mutex
	shut chan struct{} // closed when opened; nil: open
}

// Shut shuts the gate. Shutting twice is shutting once.
func (g *Gate) Shut() {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.shut == nil {
		g.shut = make(chan struct{})
	}
}

// Open undoes Shut.
func (g *Gate) Open() {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.shut != nil {
		close(g.shut)
		g.shut = nil
	}
}

// IsShut says whether Pass would wait.
func (g *Gate) IsShut() bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.shut != nil
}

// Pass waits while the gate is shut, and says whether it had to. open is false when over was closed first.
func (g *Gate) Pass(over <-chan struct{}) (waited, open bool) {
	g.mu.Lock()
	shut := g.shut
	g.mu.Unlock()
	if shut == nil {
		return false, true
	}
	select {
	case <-shut:
		return true, true
	case <-over:
		return true, false
	}
}
