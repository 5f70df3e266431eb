package xbl

import (
	"math"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
)

func TestRetryAfter(t *testing.T) {
	now := time.Date(2026, 8, 1, 12, 0, 0, 0, time.UTC)
	date := func(d time.Duration) string { return now.Add(d).Format(http.TimeFormat) }
	const limit = 24 * time.Hour
	tests := []struct {
		name   string
		values []string
		date   string
		period time.Duration
		want   time.Duration
	}{
		{name: "seconds", values: []string{"7"}, period: 15 * time.Second, want: 7 * time.Second},
		{name: "padded", values: []string{" 007 "}, want: 7 * time.Second},
		{name: "date", values: []string{date(30 * time.Second)}, want: 30 * time.Second},
		{name: "older date format", values: []string{now.Add(time.Minute).Format(time.RFC850)}, want: time.Minute},
		{name: "date by a service whose clock is an hour ahead", values: []string{date(time.Hour + 30*time.Second)}, date: date(time.Hour),
			want: 30 * time.Second},
		{name: "date with an unreadable Date", values: []string{date(30 * time.Second)}, date: "now", want: 30 * time.Second},
		{name: "absent", period: 300 * time.Second, want: 300 * time.Second},
		{name: "absent without a period", want: 15 * time.Second},
		{name: "empty", values: []string{""}, want: 15 * time.Second},
		{name: "words", values: []string{"a while"}, period: 300 * time.Second, want: 300 * time.Second},
		{name: "fraction", values: []string{"1.5"}, want: 15 * time.Second},
		{name: "sign", values: []string{"-5"}, want: 15 * time.Second},
		{name: "plus", values: []string{"+5"}, want: 15 * time.Second},
		{name: "exponent", values: []string{"1e3"}, want: 15 * time.Second},
		{name: "zero would make a hot loop", values: []string{"0"}, want: time.Second},
		{name: "so would the past", values: []string{date(-time.Hour)}, want: time.Second},
		{name: "years", values: []string{"999999999"}, want: limit},
		{name: "overflow", values: []string{strings.Repeat("9", 400)}, want: limit},
		{name: "just over an int64 of nanoseconds", values: []string{"9223372037"}, want: limit},
		{name: "far date", values: []string{"Fri, 31 Dec 9999 23:59:59 GMT"}, want: limit},
		{name: "twice: the longer one", values: []string{"5", "60"}, want: time.Minute},
		{name: "long period", period: 100 * time.Hour, want: limit},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			header := http.Header{"Retry-After": tt.values, "Date": {tt.date}}
			assert.Equal(t, tt.want, retryAfter(header, tt.period, now, limit))
		})
	}
}

func FuzzRetryAfter(f *testing.F) {
	for _, s := range []string{"", "0", "15", "-1", "1.5", "99999999999999999999", "Fri, 31 Dec 9999 23:59:59 GMT",
		"Sunday, 06-Nov-94 08:49:37 GMT", "Sun Nov  6 08:49:37 1994", " 5\t", "5, 10", "\x00"} {
		f.Add(s, s, int64(15))
		f.Add(s, "", int64(math.MinInt64))
	}
	f.Fuzz(func(t *testing.T, value, date string, period int64) {
		const limit = time.Hour
		header := http.Header{"Retry-After": {value}, "Date": {date}}
		got := retryAfter(header, time.Duration(period), time.Unix(1785585600, 0), limit)
		assert.True(t, got >= time.Second && got <= limit, "Retry-After %q with Date %q became %v", value, date, got)
	})
}
