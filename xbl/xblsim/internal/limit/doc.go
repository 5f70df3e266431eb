// Package limit counts calls as the service does: fixed windows for each key, in which refused calls count too, and what a key
// was told to wait. The invite endpoints and the auth services each have a [Limiter] of their own.
//
// It reads no clock: every call brings its [Arrival].
package limit
