// Package wire is what the token sources that speak HTTP share: a client that follows no redirect, presents a certificate
// that is read again when it is renewed, reads no more of an answer than one can have, and makes no error with a secret
// in it. What an answer means is for the source to say; what a throttle, an outage and a redirect mean is the same for all.
package wire
