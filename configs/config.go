package configs

import "time"

// Config is the whole configuration of one worker. Default returns it with every
// key at its default; Load and Parse return it checked.
//
// A Config is plain data. It shares no memory with its source and may be read by many goroutines.
type Config struct {
	NATS     NATS     `yaml:"nats"`
	XBL      XBL      `yaml:"xbl"`
	Tokens   Tokens   `yaml:"tokens"`
	Quota    Quota    `yaml:"quota"`
	Dispatch Dispatch `yaml:"dispatch"`
	Admin    Admin    `yaml:"admin"`
	Log      Log      `yaml:"log"`
}

// NATS says where the queues are and how they are laid out.
type NATS struct {
	// URL is one server, or several with commas between them. Empty means the embedded server.
	URL URL `yaml:"url"`
	// CredentialsFile is a NATS .creds file. Empty means none.
	CredentialsFile string `yaml:"credentials_file"`
	TLS             TLS    `yaml:"tls"`
	// Replicas of each stream, 1 to 5, used when a stream is created.
	Replicas int `yaml:"replicas"`
	// Partitions of INVITES, 1 to 512, used when it is created. At most
	// that many workers can share interactive work.
	Partitions int `yaml:"partitions"`
	// KeepCampaigns is how long the record of a campaign stays after it has ended, 48 h to 8760 h.
	KeepCampaigns time.Duration `yaml:"keep_campaigns"`
	Embedded      Embedded      `yaml:"embedded"`
}

// TLS names PEM files. Each may be empty; a certificate and its key come together.
type TLS struct {
	CAFile   string `yaml:"ca_file"`
	CertFile string `yaml:"cert_file"`
	KeyFile  string `yaml:"key_file"`
}

// Embedded configures the JetStream server inside the worker, used when NATS.URL is empty.
type Embedded struct {
	// Listen is a host:port that other clients can reach the embedded server at.
	Listen  string   `yaml:"listen"`
	DataDir string   `yaml:"data_dir"`
	Sync    SyncMode `yaml:"sync"`
}

// SyncMode says when the embedded server's acknowledged writes reach the disk.
type SyncMode string

// The values of nats.embedded.sync.
const (
	SyncAlways   SyncMode = "always"   // before they are acknowledged
	SyncInterval SyncMode = "interval" // some time later: faster, but a power cut can lose jobs
)

// XBL says how the Xbox service is called.
type XBL struct {
	// BaseURL is an https:// URL, or http:// on loopback, without user, query and fragment.
	BaseURL  string   `yaml:"base_url"`
	Audience Audience `yaml:"audience"`
	// Timeout of one call, 100 ms to 5 min.
	Timeout     time.Duration `yaml:"timeout"`
	OnAmbiguous OnAmbiguous   `yaml:"on_ambiguous"`
	// MaxRetryAfter is the longest Retry-After that is believed, 1 s to 168 h. A longer one counts as this.
	MaxRetryAfter time.Duration `yaml:"max_retry_after"`
}

// Audience says as whom invites are sent.
type Audience string

// The values of xbl.audience.
const (
	AudienceClient Audience = "client" // as the user whose token it is
	AudienceServer Audience = "server" // as the title's own service, for the user in `sender`
)

// OnAmbiguous says what happens to recipients of a call that may have been sent.
type OnAmbiguous string

// The values of xbl.on_ambiguous.
const (
	AmbiguousRetry      OnAmbiguous = "retry"       // send again: at least once
	AmbiguousDeadLetter OnAmbiguous = "dead_letter" // give up: at most once
)

// Tokens says where Authorization values come from. Only the section that Source names is used.
type Tokens struct {
	Source TokenSource  `yaml:"source"`
	Static StaticTokens `yaml:"static"`
	File   FileTokens   `yaml:"file"`
	HTTP   HTTPTokens   `yaml:"http"`
	S2S    S2STokens    `yaml:"s2s"`
}

// TokenSource names a section of Tokens.
type TokenSource string

// The values of tokens.source.
const (
	TokensStatic TokenSource = "static"
	TokensFile   TokenSource = "file"
	TokensHTTP   TokenSource = "http"
	TokensS2S    TokenSource = "s2s"
)

// StaticTokens is one Authorization value for every sender.
type StaticTokens struct {
	// Authorization is the whole header value, such as XBL3.0 x=<userhash>;<token>. It
	// may be empty: jobs then wait until there is one.
	Authorization Secret `yaml:"authorization"`
}

// FileTokens reads the Authorization value from Dir/<sender>, and again when it changes.
type FileTokens struct {
	Dir string `yaml:"dir"`
}

// HTTPTokens asks a URL, with {sender} replaced.
type HTTPTokens struct {
	// URL is an https:// URL, or http:// on loopback.
	URL URL `yaml:"url"`
	// HeadersFile has further headers, a line each: "Name: value". Empty means none.
	HeadersFile string `yaml:"headers_file"`
	// CAFile, CertFile and KeyFile are as in TLS.
	CAFile   string `yaml:"ca_file"`
	CertFile string `yaml:"cert_file"`
	KeyFile  string `yaml:"key_file"`
	// Timeout of one request, 100 ms to 1 min.
	Timeout time.Duration `yaml:"timeout"`
}

// S2STokens makes tokens from a title's own business-partner certificate.
type S2STokens struct {
	// CertificateFile and KeyFile are PEM files.
	CertificateFile string `yaml:"certificate_file"`
	KeyFile         string `yaml:"key_file"`
	// CAFile has the authorities to trust instead of the system's. Empty means the system's.
	CAFile  string `yaml:"ca_file"`
	Sandbox string `yaml:"sandbox"`
	// DelegationDir has a delegation token for each sender. Empty means that tokens are the service's own.
	DelegationDir string `yaml:"delegation_dir"`
	// ServiceURL and XSTSURL are https:// URLs, or http:// on loopback. Empty means Microsoft's.
	ServiceURL string `yaml:"service_url"`
	XSTSURL    string `yaml:"xsts_url"`
	// Timeout of getting one token, 100 ms to 1 min.
	Timeout time.Duration `yaml:"timeout"`
	// Limits are how many requests for tokens this worker may make, at most 16.
	Limits []Window `yaml:"limits"`
}

// Quota is what the service is known to allow each key (a pair of sender and title).
type Quota struct {
	// Windows hold all at once, at most 16. None means: learn from the answers.
	Windows []Window `yaml:"windows"`
	// MaxInFlight is the most calls at once for one key, 1 to 1024.
	MaxInFlight int `yaml:"max_in_flight"`
	// InteractiveReserve is the share of each window, 0 to 0.9, that bulk leaves
	// free on a key that had interactive jobs lately.
	InteractiveReserve float64 `yaml:"interactive_reserve"`
	// Titles differ from the rest, by titleId. Use For to read them.
	Titles map[uint32]Title `yaml:"titles"`
}

// Window allows Max calls (1 to 1,000,000) in any span of Per (1 ms to 24 h).
type Window struct {
	Max int           `yaml:"max"`
	Per time.Duration `yaml:"per"`
}

// Title holds what differs for one title.
type Title struct {
	// Windows is nil where the title inherits Quota.Windows. Empty but not nil means: none known.
	Windows []Window `yaml:"windows"`
	// MaxInFlight is nil where the title inherits Quota.MaxInFlight.
	MaxInFlight *int `yaml:"max_in_flight"`
}

// For returns the windows and the most calls in flight for each key of one title.
// The windows are shared with q: read them only.
func (q Quota) For(titleID uint32) (windows []Window, maxInFlight int) {
	windows, maxInFlight = q.Windows, q.MaxInFlight
	t := q.Titles[titleID]
	if t.Windows != nil {
		windows = t.Windows
	}
	if t.MaxInFlight != nil {
		maxInFlight = *t.MaxInFlight
	}
	return windows, maxInFlight
}

// Dispatch says how one worker sends.
type Dispatch struct {
	// MaxInFlight is the most calls at once for this worker, 1 to 65536.
	MaxInFlight int `yaml:"max_in_flight"`
	// InteractiveTTL is how long after its publishing an interactive job without
	// expiresAt may still be sent, 1 ms to 24 h.
	InteractiveTTL time.Duration `yaml:"interactive_ttl"`
	Retry          Retry         `yaml:"retry"`
	// ShutdownGrace is how long calls in flight may take to end at shutdown, 0 to 10 min.
	ShutdownGrace time.Duration `yaml:"shutdown_grace"`
}

// Retry says how transient failures are retried. Throttles are none: they wait
// as told and use up no attempt.
type Retry struct {
	// Initial is the first wait, 1 ms to Max.
	Initial time.Duration `yaml:"initial"`
	// Max is the longest wait, at most 24 h.
	Max time.Duration `yaml:"max"`
	// MaxAttempts of one job, 1 to 1000.
	MaxAttempts int `yaml:"max_attempts"`
}

// Admin configures the HTTP server for metrics, health and the console.
type Admin struct {
	// Listen is a host:port. Port 0 takes a free one.
	Listen string `yaml:"listen"`
	// Actions lets the console change something: steer campaigns, replay and drop dead letters.
	Actions bool `yaml:"actions"`
	// AuthFile has a line name:digest, of bcrypt, for each who may look at the console. Empty means whoever reaches the listener.
	AuthFile string `yaml:"auth_file"`
	// ShowPlayers shows XUIDs and connection strings in the console, which masks them otherwise.
	ShowPlayers bool `yaml:"show_players"`
}

// Log configures the worker's log.
type Log struct {
	Level  LogLevel  `yaml:"level"`
	Format LogFormat `yaml:"format"`
}

// LogLevel is the least severe level that is logged.
type LogLevel string

// The values of log.level.
const (
	LevelDebug LogLevel = "debug"
	LevelInfo  LogLevel = "info"
	LevelWarn  LogLevel = "warn"
	LevelError LogLevel = "error"
)

// LogFormat is how a log line looks.
type LogFormat string

// The values of log.format.
const (
	FormatText LogFormat = "text"
	FormatJSON LogFormat = "json"
)
