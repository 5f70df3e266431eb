// Package wiretest makes what tests of token sources need: an authority, certificates of it with their keys, in files as
// people have them, and TLS servers that ask for one. Nothing of it is for anything but tests, and what it makes is new
// each time, so that no key is in the repository.
package wiretest
