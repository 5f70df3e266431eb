package console

import (
	"context"
	"sync"
	"time"
)

// hub sends pages that are open what is new on them. A page is made once however many look at it.
type hub struct {
	opened chan struct{} // holds a token when somebody has come

	mu     sync.Mutex
	closed bool
	looked time.Time // when the overview was asked for last
	n      int
	pages  map[string]*livePage // by address
}

type livePage struct {
	build   func(context.Context) []byte
	viewers map[chan []byte]struct{}
}

const (
	// maxViewers is how many open pages a worker sends to: each is a connection.
	maxViewers = 256
	// maxLivePages is how many different ones it makes anew every two seconds.
	maxLivePages = 32
)

func newHub() *hub { return &hub{opened: make(chan struct{}, 1), pages: make(map[string]*livePage)} }

// watch sends what build makes of a page to the channel, which is closed when the worker stops. Only the newest
// is kept for one who is slow. A nil channel means that there are too many already.
func (h *hub) watch(address string, build func(context.Context) []byte) (news chan []byte, end func()) {
	h.mu.Lock()
	defer h.mu.Unlock()
	p := h.pages[address]
	if h.closed || h.n >= maxViewers || p == nil && len(h.pages) >= maxLivePages {
		return nil, nil
	}
	h.n++
	if p == nil {
		p = &livePage{build: build, viewers: make(map[chan []byte]struct{})}
		h.pages[address] = p
	}
	news = make(chan []byte, 1)
	p.viewers[news] = struct{}{}
	select {
	case h.opened <- struct{}{}:
	default:
	}
	return news, func() {
		h.mu.Lock()
		defer h.mu.Unlock()
		if _, there := p.viewers[news]; !there {
			return // closed
		}
		h.n--
		delete(p.viewers, news)
		if len(p.viewers) == 0 {
			delete(h.pages, address)
		}
	}
}

func (h *hub) watched() bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.n > 0 || time.Since(h.looked) < lookedFor
}

// lookedFor is how long somebody watches who loads a page without following it.
const lookedFor = 15 * time.Second

// look says that somebody looks; true: nobody has watched for a while.
func (h *hub) look() (first bool) {
	h.mu.Lock()
	defer h.mu.Unlock()
	first = h.n == 0 && time.Since(h.looked) >= lookedFor
	h.looked = time.Now()
	return first
}

// refresh makes each page that somebody looks at, and sends it.
func (h *hub) refresh(ctx context.Context) {
	h.mu.Lock()
	pages := make([]*livePage, 0, len(h.pages))
	for _, p := range h.pages {
		pages = append(pages, p)
	}
	h.mu.Unlock()
	for _, p := range pages {
		made := p.build(ctx)
		if made == nil {
			continue
		}
		h.mu.Lock()
		for news := range p.viewers {
			select {
			case <-news: // the one before was not taken
			default:
			}
			news <- made
		}
		h.mu.Unlock()
	}
}

// close ends all streams.
func (h *hub) close() {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.closed = true
	for address, p := range h.pages {
		for news := range p.viewers {
			close(news)
		}
		clear(p.viewers)
		delete(h.pages, address)
	}
	h.n = 0
}
