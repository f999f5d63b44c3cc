{{/*
What the controller may do, in three parts. A test removes each rule and sees something fail: a rule that is not
needed does not belong here.
*/}}

{{/* In every namespace that it looks after. */}}
{{- define "penstock.rules.watched" -}}
# The objects; the management API and the command line change them.
- apiGroups: [penstock.dev]
  resources: [provideraccounts, accountpools, accessgrants]
  verbs: [get, list, watch, create, update, patch, delete]
- apiGroups: [penstock.dev]
  resources: [provideraccounts/status, accountpools/status, accessgrants/status]
  verbs: [get, patch]
# Credentials, by the names that accounts refer to. RBAC cannot say "those that are referred to".
- apiGroups: [""]
  resources: [secrets]
  verbs: [get, list, watch, create, update, patch, delete]
# Prices and authorities that accounts refer to; the authority of the controller for its proxies.
- apiGroups: [""]
  resources: [configmaps]
  verbs: [get, list, watch, create, patch]
- apiGroups: [events.k8s.io]
  resources: [events]
  verbs: [create, patch]
{{- end }}

{{/* In its own namespace. */}}
{{- define "penstock.rules.own" -}}
{{- $name := include "penstock.name" . -}}
# Which replica writes. A name cannot be said for create.
- apiGroups: [coordination.k8s.io]
  resources: [leases]
  verbs: [create]
- apiGroups: [coordination.k8s.io]
  resources: [leases]
  resourceNames: [{{ $name }}-controller]
  verbs: [get, update, patch]
# The authority and the admin token.
- apiGroups: [""]
  resources: [secrets]
  verbs: [create]
- apiGroups: [""]
  resources: [secrets]
  resourceNames: [{{ $name }}-ca, {{ $name }}-admin-token]
  verbs: [get, update, patch]
{{- end }}

{{/* Where only a ClusterRole can say it. */}}
{{- define "penstock.rules.cluster" -}}
# Who a proxy or a caller of the API is, and what a caller may do.
- apiGroups: [authentication.k8s.io]
  resources: [tokenreviews]
  verbs: [create]
- apiGroups: [authorization.k8s.io]
  resources: [subjectaccessreviews]
  verbs: [create]
# The keys by which gateways check ServiceAccount tokens.
- nonResourceURLs: [/openid/v1/jwks, /.well-known/openid-configuration]
  verbs: [get]
{{- if not .Values.namespaces }}
# Labels of namespaces, for allowedNamespaces.from: Selector.
- apiGroups: [""]
  resources: [namespaces]
  verbs: [get, list, watch]
{{- end }}
{{- if .Values.injection.enabled }}
# caBundle of the webhook.
- apiGroups: [admissionregistration.k8s.io]
  resources: [mutatingwebhookconfigurations]
  resourceNames: [{{ include "penstock.name" . }}]
  verbs: [get, patch]
{{- end }}
{{- end }}
