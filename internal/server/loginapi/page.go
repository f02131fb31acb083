package loginapi

import (
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"html/template"
	"net/http"
	"time"

	"github.com/acrux/acrux/internal/access/signin"
	"github.com/acrux/acrux/internal/arm/problem"
)

// devicePath is where people let devices in.
const devicePath = "device"

// style is the page's, by whose hash its policy lets it in.
const style = `body{font:16px/1.5 system-ui,sans-serif;max-width:26rem;margin:10vh auto;padding:0 1rem;color:#1b1b1b;background:#fff}
label{display:block;margin:.8rem 0}input{display:block;width:100%;box-sizing:border-box;font:inherit;padding:.5rem;border:1px solid #767676;border-radius:4px}
button{font:inherit;padding:.5rem 1.2rem;border:0;border-radius:4px;background:#0b5cab;color:#fff}.bad{color:#a80000}`

var policy = func() string {
	sum := sha256.Sum256([]byte(style))
	return "default-src 'none'; style-src 'sha256-" + base64.StdEncoding.EncodeToString(sum[:]) + "'; form-action 'self'; frame-ancestors 'none'; base-uri 'none'"
}()

// view is what the page shows.
type view struct {
	Title   string
	Style   template.CSS
	Bad     string // what went wrong
	Text    string // all there is to say; no form
	Code    string // the code that was found
	Program string // which asks to be let in
	Wants   string
	User    string
}

var page = template.Must(template.New("").Parse(`<!DOCTYPE html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width"><title>{{.Title}}</title><style>{{.Style}}</style></head>
<body><main><h1>{{.Title}}</h1>
{{- with .Bad}}<p class="bad" role="alert">{{.}}</p>{{end}}
{{- if .Text}}<p>{{.Text}}</p>
{{- else if .Code}}<p><strong>{{.Program}}</strong> on another device wants to act as you at <strong>{{.Wants}}</strong>. Go on only if you have started it yourself and it shows the code <strong>{{.Code}}</strong>.</p>
<form method="post" action="/device"><input type="hidden" name="code" value="{{.Code}}">
<label>User name<input name="username" value="{{.User}}" autocomplete="username" autocapitalize="none" required autofocus></label>
<label>Password<input name="password" type="password" autocomplete="current-password" required></label>
<button>Sign in</button></form>
{{- else}}<form method="post" action="/device"><label>Code that the device shows<input name="code" autocomplete="off" autocapitalize="characters" maxlength="20" required autofocus></label>
<button>Next</button></form>
{{- end}}</main></body></html>
`))

// show writes the page. It has no scripts, cannot be framed, and is kept nowhere.
func show(w http.ResponseWriter, status int, v view) {
	v.Style = style
	if v.Title == "" {
		v.Title = "Sign in to Acrux"
	}
	head := w.Header()
	head.Set("Content-Type", "text/html; charset=utf-8")
	head.Set("Content-Security-Policy", policy)
	head.Set("X-Frame-Options", "DENY")
	head.Set("Referrer-Policy", "same-origin") // with none at all, forms have no origin
	head.Set("Cache-Control", "no-store")
	w.WriteHeader(status)
	_ = page.Execute(w, v) // the client is gone if this fails
}

// devicePage asks for the code that a device shows, then for name and password. Nothing
// is remembered in the browser, so that no other page can make it act for its user; forms
// that other pages send are refused all the same.
func (s *Server) devicePage(w http.ResponseWriter, r *http.Request) {
	switch r.Method {
	case http.MethodGet, http.MethodHead:
		show(w, http.StatusOK, view{})
		return
	case http.MethodPost:
	default:
		show(w, http.StatusMethodNotAllowed, view{Text: "This page is read, or sent back as a form."})
		return
	}
	if err := new(http.CrossOriginProtection).Check(r); err != nil {
		show(w, http.StatusForbidden, view{Text: "This form was sent by a page of another site."})
		return
	}
	r.Body = http.MaxBytesReader(w, r.Body, maxForm)
	if err := r.ParseForm(); err != nil {
		show(w, http.StatusBadRequest, view{Bad: "The form could not be read."})
		return
	}
	s.admit(w, r)
}

// admit shows which device waits with a code, and lets it in once its user has signed in.
func (s *Server) admit(w http.ResponseWriter, r *http.Request) {
	now, code := time.Now(), r.PostForm.Get("code")
	try, err := s.attempt(r, signin.UserCode())
	if err != nil {
		show(w, http.StatusTooManyRequests, view{Bad: "There were too many attempts from your address. Try again in a minute."})
		return
	}
	device, err := s.SignIn.Waiting(r.Context(), code, now)
	if errors.Is(err, signin.ErrUnknown) {
		try.Wrong()
	} else {
		try.Neither()
	}
	if err != nil {
		s.failPage(w, err)
		return
	}
	want, err := wanted(device)
	if err != nil {
		s.failPage(w, err)
		return
	}
	v := view{Code: device.UserCode, Program: programs[device.Client], Wants: want.audience, User: r.PostForm.Get("username")}
	if v.User == "" && r.PostForm.Get("password") == "" {
		show(w, http.StatusOK, v)
		return
	}
	user, err := s.user(r, v.User, r.PostForm.Get("password"))
	var refused refusal
	if errors.As(err, &refused) {
		v.Bad = refused.message
		show(w, http.StatusForbidden, v)
		return
	}
	if err == nil {
		_, err = s.SignIn.AdmitDevice(r.Context(), code, user.ObjectID, now)
	}
	if err != nil {
		s.failPage(w, err)
		return
	}
	show(w, http.StatusOK, view{Title: "You have signed in", Text: "You have signed in to " + v.Program + " as " + user.UserName + ". You can close this page."})
}

func (s *Server) failPage(w http.ResponseWriter, err error) {
	if errors.Is(err, signin.ErrUnknown) {
		show(w, http.StatusNotFound, view{Bad: "No device waits with this code. It may have been a quarter of an hour ago that it was made, or it was used."})
		return
	}
	id := w.Header().Get("x-ms-request-id")
	s.Log.Error("signing in failed", "id", id, "err", err)
	if p := problem.From(err); p.Kind == problem.Away {
		w.Header().Set("Retry-After", problem.RetryAfter)
		show(w, p.Kind.Status(), view{Text: "This is not possible at the moment. Try again in a few seconds."})
		return
	}
	show(w, http.StatusInternalServerError, view{Text: "Something went wrong on the server; its log has more under request " + id + "."})
}

// authorize is where clients send browsers. What it would take is not there yet.
func (s *Server) authorize(w http.ResponseWriter) {
	show(w, http.StatusNotImplemented, view{Title: "Not available", Text: "Signing in by browser is not available in this version of Acrux. Use a code instead: az login --use-device-code"})
}
