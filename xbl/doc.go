// Package xbl calls the invite API of Xbox Live: POST /titles/{titleId}/invites, and /invites/server for a title's own
// service.
//
// # A call
//
// One call invites up to 16 users into one session of one title, in the name of one sender:
//
//	client, err := xbl.NewClient(xbl.Options{Tokens: xbl.File("/run/tokens")})
//	…
//	err = client.SendInvites(ctx, xbl.Invite{
//		TitleID:      1234567890,
//		Sender:       "party-service",
//		InvitedUsers: []uint64{2533274790395904},
//	})
//
// The API answers for the call as a whole: nil means that all of its users were invited, an error that none was, or that
// nobody knows.
//
// # Errors are data
//
// Every error of a call is an [*Error]. Its [Kind] says what to do:
//
//	Throttled      leave this sender and title alone for RetryAfter
//	Rejected       the request or one of its recipients is bad; narrow it down, or give up
//	Forbidden      this sender may not do this; give up
//	Unauthorized   get a better token; the invite itself is fine
//	Transient      nothing was sent; try again later
//	Ambiguous      it may have been sent; trying again may send it twice
//	Misconfigured  the address, the title or the contract version is wrong; give up
//
// [Error.Written] tells whether the service may have counted the call against the sender's quota.
//
// The service limits each pair of sender and title, refused calls count, and there is no idempotency key. So a client
// that retried by itself would spend a quota that it doesn't know of, or send twice. This one makes at most one call of
// the API for each call of [Client.SendInvites], and one function, classify, gives every answer its meaning.
//
// # Tokens
//
// A [TokenSource] gives the Authorization value of each call. [Static] has one for every sender; [File] reads one file
// per sender and notices when it changes. After a 401 both hold the refused token back until there is another one, and
// try it once a minute in case the service was wrong. Package xbl/tokens gets tokens from whoever makes them. A token may
// want each call signed ([Token.SignedBy]), and a source may serve calls first that a player waits for ([PrioritySource]).
// A [Token] can be printed, logged and encoded in any way without
// showing itself, and no error of this package contains one, even if the service sends it back.
package xbl
