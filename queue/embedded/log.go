package embedded

import (
	"fmt"
	"log/slog"
)

// serverLog passes on what an operator must know. A fatal error would end a
// server of its own; here it ends Start.
type serverLog struct {
	log   *slog.Logger
	fatal chan string
}

func (l *serverLog) Warnf(format string, v ...any) {
	l.log.Warn("embedded NATS", "said", fmt.Sprintf(format, v...))
}

func (l *serverLog) Errorf(format string, v ...any) {
	l.log.Error("embedded NATS", "said", fmt.Sprintf(format, v...))
}

func (l *serverLog) Fatalf(format string, v ...any) {
	why := fmt.Sprintf(format, v...)
	select {
	case l.fatal <- why:
	default: // the first one is the reason for the others
	}
}

func (*serverLog) Noticef(string, ...any) {}
func (*serverLog) Debugf(string, ...any)  {}
func (*serverLog) Tracef(string, ...any)  {}
