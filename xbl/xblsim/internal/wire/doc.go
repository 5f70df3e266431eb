// Package wire is what the simulator's invite endpoints, its auth services and its control pages read and write alike: JSON that is
// checked strictly, errors that name a place and never a value (which may be a token), and the answers of a service that refuses.
package wire
