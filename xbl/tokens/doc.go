// Package tokens keeps the tokens that somebody else makes: a studio's broker (package broker), or Xbox Live's own
// services for a title's service (package s2s).
//
// A [Cache] is an xbl.TokenSource. It asks a [Fetcher] for the token of a sender when one is needed for the first time,
// and again before it ends, while the old one goes on serving; one fetch at a time for each sender, however many calls
// ask. What was refused with 401 is never given again, unless nothing else comes, and then once a minute.
//
// Whoever makes tokens has limits of its own, and a fleet of senders whose tokens end in one minute would run into them.
// So fetches stand in one line (backlog), which the documented limits hold back (limiter): players who wait first, then
// senders without a token, then those whose token ends soon, then those that were denied one before. A fetch that is
// refused for being one too many, and a service that fails, hold back the line and not only their sender.
//
// backlog and limiter are the core: they take the time and have no clock, goroutine or lock. Cache is the shell.
package tokens
