// Package acrtool is the tool "acr" that task files know: it cleans up and marks the images of
// a registry from within a run, with the run's own docker configuration. Its commands, flags and
// output are those of the published tool (acr-cli 0.19); what it does not do it does not know.
//
// The work of a purge is the registry's (POST /acr/v1/NAME/_purge, docs/reference/registry-api.md),
// in the transactions of its store: nothing that is pushed meanwhile is lost.
package acrtool
