package main

import "time"

// showProgress shows whoever sits at a terminal a line that is drawn anew each second. It is gone when it is stopped.
func (t *tool) showProgress(text func() string) (stop func()) {
	terminal := drawable(t.errOut)
	if terminal == nil {
		return func() {}
	}
	on := newScreen(terminal)
	draw := func(lines ...line) { // it is for the eye only: what can't be drawn is not missed
		_ = on.draw(styleOf(terminal), func(int) []line { return lines })
	}
	stopped, gone := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(gone)
		second := time.NewTicker(time.Second)
		defer second.Stop()
		for {
			select {
			case <-second.C:
				draw(line{{text(), plain}})
			case <-stopped:
				on.leave()
				draw()
				return
			}
		}
	}()
	return func() { close(stopped); <-gone }
}
