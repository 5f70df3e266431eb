package metrics

import (
	"strings"

	"github.com/prometheus/client_golang/prometheus"
)

// withExemplars is a histogram's own type: the library returns it as less than it is.
func withExemplars(o prometheus.Observer) prometheus.ExemplarObserver {
	return o.(prometheus.ExemplarObserver)
}

// exemplarOf leads from a slow bucket to a trace: it has the trace and the span
// of the first traceparent that leads anywhere, and nothing else of a job. nil,
// which makes no exemplar, where there is none.
func exemplarOf(traceparents ...string) prometheus.Labels {
	for _, v := range traceparents {
		if trace, span, ok := sampled(v); ok {
			// An exemplar stays as long as its bucket gets no other: it must not keep a message's headers.
			return prometheus.Labels{"trace_id": strings.Clone(trace), "span_id": strings.Clone(span)}
		}
	}
	return nil
}

// sampled reads W3C's traceparent, version-trace-parent-flags in lower-case
// hexadecimal digits (https://www.w3.org/TR/trace-context/). It refuses what is
// none, and one whose trace its producer did not record: nobody could look at it.
func sampled(traceparent string) (trace, span string, ok bool) {
	const length = 55
	if len(traceparent) < length || traceparent[2] != '-' || traceparent[35] != '-' || traceparent[52] != '-' {
		return "", "", false
	}
	version, trace, span, flags := traceparent[:2], traceparent[3:35], traceparent[36:52], traceparent[53:length]
	more := traceparent[length:] // that later versions may have, after another dash
	switch {
	case !isHex(version), version == "ff", more != "" && (version == "00" || more[0] != '-'):
	case !isHex(trace), strings.Trim(trace, "0") == "":
	case !isHex(span), strings.Trim(span, "0") == "":
	case !isHex(flags), strings.IndexByte(hexDigits, flags[1])&1 == 0:
	default:
		return trace, span, true
	}
	return "", "", false
}

const hexDigits = "0123456789abcdef"

func isHex(s string) bool { return strings.Trim(s, hexDigits) == "" }
