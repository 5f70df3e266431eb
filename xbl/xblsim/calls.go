package xblsim

import "time"

// Call is one call as [Server.Calls] shows it.
type Call struct {
	At      time.Time // when it arrived
	TitleID uint32
	Token   string // [TokenKey] of its Authorization value
	Sender  uint64 // /invites/server only: who invites; 0 where that can't be read

	InvitedUsers []uint64 // nil where the request was invalid
	Status       int      // of the answer; 0 where the connection was dropped instead
	Recorded     bool     // the recipients are in the ledger as sent
	InBlock      bool     // it arrived inside a Retry-After
	Fault        string   // the fault it suffered, named as in /faults, or ""
}

// callLog keeps the last calls. It is not safe for concurrent use.
type callLog struct {
	calls []Call
	next  int // place of the oldest one, once the log is full
}

// add puts the call in the place of the oldest one.
func (l *callLog) add(c *call, v verdict, inBlock bool) {
	if cap(l.calls) == 0 {
		return
	}
	l.put(Call{
		At:           c.arrival.At,
		TitleID:      c.key.title,
		Token:        c.token.String(),
		Sender:       c.key.sender,
		InvitedUsers: c.invite.users,
		Status:       v.status,
		Recorded:     v.recorded,
		InBlock:      inBlock,
		Fault:        v.fault,
	})
}

func (l *callLog) put(c Call) {
	if len(l.calls) < cap(l.calls) {
		l.calls = append(l.calls, c)
		return
	}
	l.calls[l.next] = c
	l.next = (l.next + 1) % len(l.calls)
}

// list returns the calls, oldest first.
func (l *callLog) list() []Call {
	all := make([]Call, 0, len(l.calls))
	all = append(all, l.calls[l.next:]...)
	return append(all, l.calls[:l.next]...)
}
