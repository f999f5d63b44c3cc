{{/*
What the controller may do. The tables in controller/src say what each rule is for; a test removes each rule and sees
something fail: a rule that is not needed does not belong here.
*/}}

{{/* In every namespace that it looks after. */}}
{{- define "penstock.rules.watched" -}}
# The objects, and where they stand.
- apiGroups: [penstock.dev]
  resources: [provideraccounts, accountpools, accessgrants]
  verbs: [list, watch]
- apiGroups: [penstock.dev]
  resources: [provideraccounts/status, accountpools/status, accessgrants/status]
  verbs: [patch]
- apiGroups: [events.k8s.io]
  resources: [events]
  verbs: [create, patch]
# The management API.
- apiGroups: [penstock.dev]
  resources: [provideraccounts]
  verbs: [get, create, update, delete]
{{- /* Where ConfigMaps may be read anyway, a list of this one is allowed by that. */}}
{{ include "penstock.rules.authority" (list . (ternary "list, create, patch" "create, patch" (not (empty .Values.secretNamespaces)))) }}
{{- end }}

{{/* Wherever there are proxies, what they trust: (list $ verbs). */}}
{{- define "penstock.rules.authority" -}}
# Its authority, for the proxies of the namespace. It is applied, for which a name can be said even where it creates.
- apiGroups: [""]
  resources: [configmaps]
  resourceNames: [{{ include "penstock.name" (index . 0) }}-ca]
  verbs: [{{ index . 1 }}]
{{- end }}

{{/* Where accounts and grants name Secrets and ConfigMaps. */}}
{{- define "penstock.rules.credentials" -}}
# Credentials and client keys: those that are named are read, and the management API writes them. RBAC cannot say
# "those that are named".
- apiGroups: [""]
  resources: [secrets]
  verbs: [get, list, watch, create, update, delete]
# Authorities that accounts name.
- apiGroups: [""]
  resources: [configmaps]
  verbs: [get, list, watch]
{{- end }}

{{/* In its own namespace. */}}
{{- define "penstock.rules.own" -}}
{{- $name := include "penstock.name" . -}}
# Which replica writes.
- apiGroups: [coordination.k8s.io]
  resources: [leases]
  verbs: [create]
- apiGroups: [coordination.k8s.io]
  resources: [leases]
  resourceNames: [{{ $name }}-controller]
  verbs: [get, update]
{{- if not (include "penstock.credentialsEverywhere" .) }}
# Its authority and the admin token.
- apiGroups: [""]
  resources: [secrets]
  verbs: [create]
- apiGroups: [""]
  resources: [secrets]
  resourceNames: [{{ $name }}-ca, {{ $name }}-admin-token]
  verbs: [get, update]
# Prices of your own.
- apiGroups: [""]
  resources: [configmaps]
  verbs: [get, list, watch]
{{- end }}
{{- if .Values.namespaces }}
{{ include "penstock.rules.authority" (list . "create, patch") }}
{{- end }}
{{- end }}

{{/* Not empty where its right to Secrets and ConfigMaps holds in the whole cluster, its own namespace included. */}}
{{- define "penstock.credentialsEverywhere" -}}
{{- if not (or .Values.namespaces .Values.secretNamespaces) }}yes{{ end }}
{{- end }}

{{/* What only a ClusterRole can say. */}}
{{- define "penstock.rules.cluster" -}}
# Who a proxy is, and who calls the management API. (The keys by which gateways check the tokens of their callers may be read by every ServiceAccount:
# ClusterRole system:service-account-issuer-discovery.)
- apiGroups: [authentication.k8s.io]
  resources: [tokenreviews]
  verbs: [create]
# What whoever calls the management API may do.
- apiGroups: [authorization.k8s.io]
  resources: [subjectaccessreviews]
  verbs: [create]
# Labels of namespaces, for allowedNamespaces.from: Selector.
- apiGroups: [""]
  resources: [namespaces]
  {{- with include "penstock.namespaces" . }}
  resourceNames: {{ splitList "," . | toJson }}
  verbs: [get]
  {{- else }}
  verbs: [list, watch]
  {{- end }}
{{- if .Values.injection.enabled }}
# caBundle of the webhook.
- apiGroups: [admissionregistration.k8s.io]
  resources: [mutatingwebhookconfigurations]
  resourceNames: [{{ include "penstock.name" . }}]
  verbs: [get, patch]
{{- end }}
{{- end }}

{{/* A Role of the controller and its binding: (list $ namespace suffix rules). */}}
{{- define "penstock.controllerRole" -}}
{{- $root := index . 0 -}}
{{- $name := include "penstock.name" $root -}}
apiVersion: rbac.authorization.k8s.io/v1
kind: Role
metadata:
  name: {{ $name }}-{{ index . 2 }}
  namespace: {{ index . 1 }}
  labels: {{- include "penstock.labels" (list $root "controller") | nindent 4 }}
rules:
  {{- index . 3 | nindent 2 }}
---
apiVersion: rbac.authorization.k8s.io/v1
kind: RoleBinding
metadata:
  name: {{ $name }}-{{ index . 2 }}
  namespace: {{ index . 1 }}
  labels: {{- include "penstock.labels" (list $root "controller") | nindent 4 }}
roleRef: { apiGroup: rbac.authorization.k8s.io, kind: Role, name: {{ $name }}-{{ index . 2 }} }
subjects:
  - { kind: ServiceAccount, name: {{ $name }}-controller, namespace: {{ $root.Release.Namespace }} }
{{- end }}
