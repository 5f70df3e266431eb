package configs

import (
	"regexp"
	"strconv"
	"strings"
)

// Paths that more than one file of this package names.
const (
	pathNATSURL       = "nats.url"
	pathAdminListen   = "admin.listen"
	pathAuthorization = "tokens.static.authorization"
)

// override lets four environment variables win over the file. An empty one counts as
// not set: orchestrators pass variables through that nobody filled.
func (l *loader) override() {
	for _, o := range []struct {
		env, path string
		set       func(value string)
	}{
		{"INVITED_NATS_URL", pathNATSURL, func(value string) { l.config.NATS.URL = NewURL(value) }},
		{"INVITED_XBL_BASE_URL", "xbl.base_url", func(value string) { l.config.XBL.BaseURL = value }},
		{"INVITED_ADMIN_LISTEN", pathAdminListen, func(value string) { l.config.Admin.Listen = value }},
		{"INVITED_LOG_LEVEL", "log.level", func(value string) { l.config.Log.Level = LogLevel(value) }},
	} {
		value, _ := l.getenv(o.env)
		if value = strings.TrimSpace(value); value == "" {
			continue
		}
		o.set(value)
		l.places[o.path] = Place{Env: o.env}
		l.hidden[o.path] = true
	}
}

// authorizationDefault fills the one default that stands in the environment.
func (l *loader) authorizationDefault() {
	if _, set := l.places[pathAuthorization]; set {
		return
	}
	value, set := l.getenv(envAuthorization)
	if !set {
		return // validate says what an empty authorization means
	}
	l.config.Tokens.Static.Authorization = NewSecret(strings.TrimSpace(value))
	l.places[pathAuthorization] = Place{Env: envAuthorization}
	l.hidden[pathAuthorization] = true
}

// reference matches, where a value holds "${": an escaped one, a variable, or the start of a broken one.
var reference = regexp.MustCompile(`\$\$\{|\$\{([A-Za-z_][A-Za-z0-9_]*)\}|\$\{`)

// expand replaces each ${NAME} in the text of one YAML value. It works after YAML
// was parsed, once, so no variable's value is read as YAML or expanded again.
func (l *loader) expand(text, path string) (string, bool) {
	if !strings.Contains(text, "${") {
		return text, true
	}
	broken := false
	expanded := reference.ReplaceAllStringFunc(text, func(match string) string {
		switch match {
		case "$${":
			return "${"
		case "${":
			broken = true
			return ""
		}
		l.hidden[path] = true
		name := strings.TrimSuffix(strings.TrimPrefix(match, "${"), "}")
		value, set := l.getenv(name)
		if !set && path == pathNATSURL {
			// Empty means the embedded server: a slip must not start an empty queue of its own.
			l.fail(path, l.places[path], "the environment variable %s is not set; leave nats.url out for the embedded server", name)
		} else if !set {
			l.warnAt(path, "the environment variable %s is not set, so it counts as empty", name)
		}
		return value
	})
	if broken {
		l.fail(path, l.places[path], "broken ${…}: write ${NAME} with letters, digits and _ only, or $${ for a literal ${")
		return "", false
	}
	return expanded, true
}

// not returns the refused value for a message, or nothing where it may be secret.
func (l *loader) not(path string, value any) string {
	const long = 40
	if l.hidden[path] || inTokens(path) {
		return ""
	}
	text, isText := value.(string)
	if !isText {
		return ", not " + show(value)
	}
	if strings.Contains(text, "XBL3.0") { // a token in a wrong place, by an alias perhaps
		return ""
	}
	if runes := []rune(text); len(runes) > long {
		text = string(runes[:long]) + "…"
	}
	return ", not " + strconv.Quote(text)
}

// inTokens says whether what stands at path may be a token, in its place or in a wrong one.
func inTokens(path string) bool { return path == "tokens" || strings.HasPrefix(path, "tokens.") }
