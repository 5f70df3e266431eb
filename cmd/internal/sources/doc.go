// Package sources makes the token source that a configuration names: for the worker, which keeps tokens and refreshes
// them (New), and for whoever wants to look at one token (Look). It is where the section tokens of the configuration
// meets the packages that get tokens; none of them knows configs.
package sources
