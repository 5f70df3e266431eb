package configs

import "time"

// envAuthorization fills tokens.static.authorization where the file does not set it.
const envAuthorization = "XBL_AUTHORIZATION"

// Default returns the configuration with every key at its default.
//
// One default depends on the environment: Load and Parse fill an unset
// tokens.static.authorization from XBL_AUTHORIZATION. Default leaves it empty.
func Default() Config {
	return Config{
		NATS: NATS{
			Replicas:      1,
			Partitions:    16,
			KeepCampaigns: 30 * 24 * time.Hour,
			Embedded:      Embedded{Listen: "127.0.0.1:4222", DataDir: "./invited-data", Sync: SyncAlways},
		},
		XBL: XBL{
			BaseURL:       "https://multiplayeractivity.xboxlive.com",
			Audience:      AudienceClient,
			Timeout:       10 * time.Second,
			OnAmbiguous:   AmbiguousRetry,
			MaxRetryAfter: 24 * time.Hour,
		},
		Tokens: Tokens{
			Source: TokensStatic,
			HTTP:   HTTPTokens{Timeout: 10 * time.Second},
			S2S: S2STokens{
				Sandbox: "RETAIL", Timeout: 10 * time.Second,
				Limits: []Window{{Max: 15, Per: 15 * time.Second}, {Max: 50, Per: 300 * time.Second}},
			},
		},
		Quota: Quota{
			Windows:            []Window{{Max: 7, Per: 15 * time.Second}, {Max: 50, Per: 300 * time.Second}},
			MaxInFlight:        4,
			InteractiveReserve: 0.1,
			Titles:             map[uint32]Title{},
		},
		Dispatch: Dispatch{
			MaxInFlight:    256,
			InteractiveTTL: 5 * time.Minute,
			Retry:          Retry{Initial: time.Second, Max: 60 * time.Second, MaxAttempts: 8},
			ShutdownGrace:  20 * time.Second,
		},
		Admin: Admin{Listen: "127.0.0.1:9464"},
		Log:   Log{Level: LevelInfo, Format: FormatText},
	}
}
