package plan

const limitConcurrency = "concurrency"

// regainAfter calls that were sent since the calls at once were lowered, one
// more at once is tried, up to what is configured.
const regainAfter = 20

// fewerAtOnce lowers the calls at once, to one at the least.
func (k *key) fewerAtOnce(n int) {
	k.atOnce = max(1, min(n, k.atOnce))
	k.sentSince = 0
}

// regain counts a call that was sent.
func (k *key) regain() {
	if k.atOnce >= k.limits.MaxInFlight {
		return
	}
	if k.sentSince++; k.sentSince >= regainAfter {
		k.atOnce++
		k.sentSince = 0
	}
}
