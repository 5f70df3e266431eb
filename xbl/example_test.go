package xbl_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"

	"github.com/invitedhq/invited/xbl"
)

// The server stands for the service: it sends the first call and throttles the second.
func Example() {
	calls := 0
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if calls++; calls == 1 {
			body, _ := io.ReadAll(r.Body)
			fmt.Println(r.Method, r.URL.Path, string(body))
			w.WriteHeader(http.StatusNoContent)
			return
		}
		w.Header().Set("Retry-After", "9")
		w.WriteHeader(http.StatusTooManyRequests)
		_, _ = io.WriteString(w, `{"maxRequests":"1","periodInSeconds":"15","limitType":"Rate"}`)
	}))
	defer server.Close()

	client, err := xbl.NewClient(xbl.Options{
		BaseURL: server.URL, // Left out, it is the real service.
		Tokens:  xbl.Static("XBL3.0 x=1234567890;a-token"),
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	defer client.CloseIdleConnections()

	invite := xbl.Invite{
		TitleID:          1234567890,
		Sender:           "party-service",
		InvitedUsers:     []uint64{2533274790395904, 2533274790395905},
		ConnectionString: "lobby-7",
	}
	for range 2 {
		err := client.SendInvites(context.Background(), invite)
		var e *xbl.Error
		switch {
		case err == nil:
			fmt.Println("sent")
		case errors.As(err, &e) && e.Kind == xbl.Throttled:
			fmt.Println("leave", invite.Sender, "alone for", e.RetryAfter, "as it may make", e.Throttle.MaxRequests, "call in", e.Throttle.Period)
		default:
			fmt.Println(err)
		}
	}
	// Output:
	// POST /titles/1234567890/invites {"invitedUsers":["2533274790395904","2533274790395905"],"connectionString":"lobby-7"}
	// sent
	// leave party-service alone for 9s as it may make 1 call in 15s
}
