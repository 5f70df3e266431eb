package wire

import (
	"errors"
	"fmt"
	"mime"
	"net/http"
	"strings"
)

// CheckHeaders reports what is wrong with a request around its body, Authorization and Signature aside.
func CheckHeaders(r *http.Request) error {
	if r.URL.RawQuery != "" {
		return errors.New("query: this endpoint takes none")
	}
	if v := r.Header.Values("X-Xbl-Contract-Version"); len(v) != 1 || v[0] != "1" {
		return fmt.Errorf("x-xbl-contract-version: %.40q instead of 1", v)
	}
	v := r.Header.Values("Content-Type")
	if len(v) != 1 {
		return fmt.Errorf("Content-Type: given %d times instead of once", len(v))
	}
	return checkContentType(v[0])
}

func checkContentType(value string) error {
	if value == "application/json" { // nearly always, so don't parse it
		return nil
	}
	media, params, err := mime.ParseMediaType(value)
	if err != nil || media != "application/json" {
		return fmt.Errorf("Content-Type: %.60q instead of application/json", value)
	}
	for name, v := range params {
		if name != "charset" || !strings.EqualFold(v, "utf-8") {
			return fmt.Errorf("Content-Type: the parameter %.40q is not charset=utf-8", name)
		}
	}
	return nil
}
