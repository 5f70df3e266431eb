// Package auth is a stand-in for the services that give a title's own service its Xbox Live tokens.
//
// It answers POST /service/authenticate over mutual TLS and POST /xsts/authorize, and judges the tokens and signatures of calls to the
// invite endpoints of package xblsim. Nothing about a request is taken on trust: the client certificate, the proof key, every byte that
// was signed, expiry, audience and user hash are checked, and what is only nearly right is refused with words that say which check
// it was. No part of a token is ever in them.
//
//	authority, err := auth.NewAuthority(time.Now().Add(time.Hour))
//	…
//	service := auth.New(auth.Options{ClientCAs: authority.Pool()})
//	sim := xblsim.New(xblsim.Options{Auth: service})        // invite endpoints, and the control pages of both
//	server := httptest.NewUnstartedServer(service)          // the auth services
//	server.TLS = service.TLS(certificate)
//	server.StartTLS()
//
// # An oracle
//
// The verification of signatures shares no code with the client's signing, and is tested against vectors that were made with the
// openssl command line alone (testdata/signatures). It is as strict as it can be where the real service is not known to be: one spelling
// of each header, no field too many, one limit for both endpoints.
//
// # Answers
//
//	no TLS, no client certificate, or a wrong one   the connection is dropped; the log and the Ledger say why
//	a request that is not as documented             400 {errorCode, debugMessage}
//	a Signature that is missing or wrong            403 {errorCode, debugMessage}
//	a token or user that is refused                 401 {Identity, XErr, Message, Redirect}, WWW-Authenticate: XSTS error="…"
//	over the quota                                  429 ThrottledEntity, Retry-After
//	an invite with a token that is no longer good   401, WWW-Authenticate: XBL3.0 error="expired_token" (or other reasons)
//	an invite with a token for the other endpoint   403
//
// # Tokens
//
// A service token is bound to its proof key and to the certificate it was issued for, an access token to the proof key. A delegation
// token stands for a user; [Service.Delegate] makes one, in place of a game that the user runs. All of them are random texts, of which
// only digests are kept, in memory: a service that starts anew knows none of the old ones.
//
// # Time
//
// Like package xblsim it takes time from package time, starts no goroutine, and so also runs in fake time. [Faults.ClockOffset] makes
// its clock wrong.
package auth
