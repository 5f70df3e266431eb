// Package configs reads and checks the configuration of the invite daemon.
//
// # One file, and the environment
//
// The configuration is one YAML file. Every key may be left out and then has its
// default; the file invited.example.yaml beside this page holds them all, each with its
// unit, range and reason.
//
//	config, warnings, err := configs.Load("invited.yaml", os.LookupEnv)
//	if err != nil {
//		fmt.Fprintln(os.Stderr, err) // one line per problem
//		os.Exit(1)
//	}
//
// A string value may name environment variables as ${NAME}. The file is parsed
// first and the variables are put in afterwards, so what a variable holds is never read
// as YAML. $${ stands for a literal ${. A variable that is not set counts as empty, and a
// Warning says so.
//
// Four variables win over the file: INVITED_NATS_URL, INVITED_XBL_BASE_URL,
// INVITED_ADMIN_LISTEN and INVITED_LOG_LEVEL. Where one is empty, it is as if it were not set.
//
// # Errors
//
// All problems of a file are named at once, in its order, each with its place, its
// path, what is allowed and the way out:
//
//	invited.yaml:2:3: log: unknown key "levell": did you mean level? Known here: level, format
//	invited.yaml:7:12: quota.windows[0].max: must be from 1 to 1000000, not 0
//	environment variable INVITED_LOG_LEVEL: log.level: must be one of debug, info, warn, error
//
// The error is of type Errors; errors.As finds the first *Error in it.
//
// # Secrets
//
// Tokens and passwords have types of their own, Secret and URL. They hide their text
// from every fmt verb, from JSON, YAML and slog, so a Config can be logged or
// printed (String, YAML, LogValue) as it is; only their method Reveal shows it. No error and no
// warning repeats a line of the file, a value of the tokens section, or a value from the environment.
//
// The package depends on no other of this module: it holds plain data, and the
// commands hand it on.
package configs
