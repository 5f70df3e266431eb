package tokens

import (
	"net/http"
	"testing"
	"time"
)

func FuzzDate(f *testing.F) {
	f.Add("Thu, 24 Dec 2026 20:00:00 GMT", int64(8*3600))
	f.Add("Thursday, 24-Dec-26 20:00:00 GMT", int64(-1))
	f.Add("Thu Jan  1 00:00:00 1970", int64(1<<62))
	f.Fuzz(func(t *testing.T, header string, left int64) {
		date, err := http.ParseTime(header)
		if err != nil {
			return
		}
		var c Clock
		c.Heard(date)
		there := c.Now()
		believed := there.Sub(date).Abs() < dateError+2*time.Second
		if !believed && time.Since(there).Abs() > time.Second {
			t.Fatalf("its time is %v, neither this machine's nor that of %q", there, header)
		}
		left %= 365 * 24 * 3600
		life := time.Duration(left) * time.Second
		if here := c.Here(there.Add(life)); here.Sub(time.Now().Add(life)).Abs() > time.Second {
			t.Errorf("what ends there in %v ends here at %v", life, here)
		}
	})
}
