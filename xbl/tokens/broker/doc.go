// Package broker gets tokens from a studio's own token broker: a GET for each sender, answered with
//
//	{"authorization": "XBL3.0 x=<userhash>;<token>", "notAfter": "2026-12-24T20:00:00Z"}
//
// 404 says that the broker does not know the sender, 401 and 403 that it does not know the worker; 429 (with
// Retry-After) holds back all senders, and so do answers of 500 and above in a row. A [Source] is a tokens.Fetcher.
package broker
