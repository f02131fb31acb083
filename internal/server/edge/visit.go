package edge

import (
	"context"
	"net/http"
	"time"
)

// client is where a request comes from. A proxy that is not trusted is told of once: behind
// it, everybody is one address.
func (r *Router) client(req *http.Request) string {
	client := r.Proxies.client(req.RemoteAddr, req.Header)
	if client == req.RemoteAddr && (req.Header.Get("X-Forwarded-For") != "" || req.Header.Get("Forwarded") != "") {
		r.untrusted.Do(func() {
			r.Log.Info("a request says for whom it was forwarded, which is not believed; if it came through a proxy of yours, name its address",
				"from", req.RemoteAddr, "hint", "trustedProxies in acrux.yaml")
		})
	}
	return client
}

// visit is a request on its way through the router.
type visit struct {
	place *place // nil without Places
	body  *movingBody
}

type visitKey struct{}

// SignedIn is for handlers to tell, before they read the body, that they know who sent the
// request of the context: it may take its time then, and its connection is somebody's.
func SignedIn(ctx context.Context) {
	here, ok := ctx.Value(visitKey{}).(*visit)
	if !ok {
		return
	}
	if !here.body.over && !here.body.until.IsZero() {
		here.body.lift()
	}
	here.body.until = time.Time{}
	if here.place != nil {
		here.place.signedIn()
	}
}

// visiting begins a visit, which leave ends; false if the client has his share of places.
func visiting(req *http.Request, body *movingBody) (_ *http.Request, leave func(), ok bool) {
	here := &visit{body: body}
	leave = func() {}
	if here.place, _ = req.Context().Value(placeKey{}).(*place); here.place != nil {
		if !here.place.begin(Address(req.RemoteAddr)) {
			return req, nil, false
		}
		leave = here.place.end
	}
	return req.WithContext(context.WithValue(req.Context(), visitKey{}, here)), leave, true
}

func tooMany(w http.ResponseWriter) {
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Connection", "close")
	w.Header().Set("Retry-After", "5")
	w.WriteHeader(http.StatusTooManyRequests)
	_, _ = w.Write([]byte(`{"error":{"code":"TooManyRequests","message":"Your address has too many connections."}}` + "\n"))
}
