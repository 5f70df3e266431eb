// Package s2s gets tokens the way a title's own service does: with the publisher's Business Partner Certificate, from
// Xbox Live's auth services.
//
//	POST {service_url}/service/authenticate   mutual TLS; names a proof key            → a service token, for two weeks
//	POST {xsts_url}/xsts/authorize            with it, and a sender's delegation token → an XSTS token, for hours
//
// An XSTS token without a delegation token is the service's own (XBL3.0 x=-;…); with one it speaks for the user who
// delegated. Both requests, and every call that is made with such a token, carry a Signature made with the proof key
// (sign.go), which this process makes when it starts and never stores.
//
// The protocol is that of "Title service calls to Xbox services" in Microsoft's GDK documentation (2025-12-30). It was
// never run against the real service here, only against stand-ins: docs/tokens.md says what that leaves open. Refusals
// carry an XErr (xerr.go), whose meaning and way out are said in words.
//
// A [Source] is a tokens.Fetcher. Requests are limited by the tokens.Cache around it, with [Limits].
package s2s
