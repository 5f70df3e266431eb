package xblsim_test

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"time"

	"github.com/invitedhq/invited/xbl/xblsim"
)

func Example() {
	sim := xblsim.New(xblsim.Options{Quota: []xblsim.Window{{Max: 2, Per: 15 * time.Second}}})
	server := httptest.NewServer(sim)
	defer server.Close()

	for range 3 {
		body := strings.NewReader(`{"invitedUsers":["2533274790395904","2533274790395905"]}`)
		r, err := http.NewRequestWithContext(context.Background(), http.MethodPost, server.URL+"/titles/1739947436/invites", body)
		if err != nil {
			fmt.Println(err)
			return
		}
		r.Header.Set("Authorization", "XBL3.0 x=123;token")
		r.Header.Set("Content-Type", "application/json")
		r.Header.Set("x-xbl-contract-version", "1")
		response, err := server.Client().Do(r)
		if err != nil {
			fmt.Println(err)
			return
		}
		fmt.Printf("%d %q\n", response.StatusCode, response.Header.Get("Retry-After"))
		_ = response.Body.Close()
	}
	fmt.Printf("%+v\n", sim.Ledger())
	fmt.Println(sim.Sent(1739947436)[2533274790395904], "invites to the first player")
	// Output:
	// 204 ""
	// 204 ""
	// 429 "15"
	// {Calls:3 Throttled:1 InBlock:0 Recipients:4 Unique:2 Duplicates:2}
	// 2 invites to the first player
}
