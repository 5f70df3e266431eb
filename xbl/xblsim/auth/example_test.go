package auth_test

import (
	"context"
	"fmt"
	"log"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"time"

	"github.com/invitedhq/invited/xbl/xblsim"
	"github.com/invitedhq/invited/xbl/xblsim/auth"
)

func Example() {
	until := time.Now().Add(time.Hour)
	authority, err := auth.NewAuthority(until)
	if err != nil {
		log.Fatal(err)
	}
	pair, err := authority.Server(until, "127.0.0.1")
	if err != nil {
		log.Fatal(err)
	}
	certificate, err := pair.TLS()
	if err != nil {
		log.Fatal(err)
	}
	quota, err := xblsim.ParseQuota("15/15s,50/300s")
	if err != nil {
		log.Fatal(err)
	}

	service := auth.New(auth.Options{ClientCAs: authority.Pool(), Quota: quota})
	tokens := httptest.NewUnstartedServer(service) // for the source of tokens
	tokens.TLS = service.TLS(certificate)
	tokens.Config.ErrorLog = slog.NewLogLogger(slog.DiscardHandler, slog.LevelInfo)
	tokens.StartTLS()
	defer tokens.Close()
	invites := httptest.NewServer(xblsim.New(xblsim.Options{Auth: service})) // for the worker
	defer invites.Close()

	// The simulated services fail here as the real ones do: without a certificate there is no answer, and without a token no invite.
	r, err := http.NewRequestWithContext(context.Background(), http.MethodPost, tokens.URL+"/service/authenticate", http.NoBody)
	if err != nil {
		log.Fatal(err)
	}
	response, err := tokens.Client().Do(r)
	if err == nil {
		_ = response.Body.Close()
	}
	fmt.Println("answered:", err == nil)

	body := strings.NewReader(`{"invitedUsers":["2533274790395904"]}`)
	r, err = http.NewRequestWithContext(context.Background(), http.MethodPost, invites.URL+"/titles/1739947436/invites", body)
	if err != nil {
		log.Fatal(err)
	}
	r.Header.Set("Authorization", "XBL3.0 x=123;token")
	response, err = invites.Client().Do(r)
	if err != nil {
		log.Fatal(err)
	}
	_ = response.Body.Close()
	fmt.Println(response.StatusCode, response.Header.Get("WWW-Authenticate"))
	fmt.Println(service.Ledger().Refused, service.Ledger().InvitesRefused)
	// Output:
	// answered: false
	// 401 XBL3.0 error="invalid_token"
	// map[certificate:1] map[invalid_token:1]
}
