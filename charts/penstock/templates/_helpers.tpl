{{/* Prefix of all names. Short enough for the longest suffix (-controller) to fit a label. */}}
{{- define "penstock.name" -}}
{{- default .Release.Name .Values.name | trunc 50 | trimSuffix "-" -}}
{{- end }}

{{/* Labels that select the pods of a part: (list $ "controller"). Never change them: selectors are immutable. */}}
{{- define "penstock.selector" -}}
{{- $root := index . 0 -}}
app.kubernetes.io/name: penstock
app.kubernetes.io/instance: {{ include "penstock.name" $root }}
app.kubernetes.io/component: {{ index . 1 }}
{{- end }}

{{/* Labels of every object: (list $ "controller"). */}}
{{- define "penstock.labels" -}}
{{- $root := index . 0 -}}
{{ include "penstock.selector" . }}
app.kubernetes.io/part-of: penstock
app.kubernetes.io/version: {{ $root.Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ $root.Release.Service }}
helm.sh/chart: {{ $root.Chart.Name }}-{{ $root.Chart.Version | replace "+" "_" }}
{{- with $root.Values.commonLabels }}
{{ toYaml . }}
{{- end }}
{{- end }}

{{/* Labels of a part's pods: (list $ "controller" .Values.controller.podLabels). No chart version: a chart that
     changes nothing about a pod must not restart it. */}}
{{- define "penstock.podLabels" -}}
{{- $root := index . 0 -}}
{{ include "penstock.selector" . }}
app.kubernetes.io/part-of: penstock
{{- with merge (dict) (index . 2) $root.Values.commonLabels }}
{{ toYaml . }}
{{- end }}
{{- end }}

{{/* An image's reference: (list $ "proxy"). */}}
{{- define "penstock.image" -}}
{{- $root := index . 0 -}}
{{- $name := index . 1 -}}
{{- $image := $root.Values.image -}}
{{- $digest := index $image.digests $name -}}
{{- if $digest -}}
{{ $image.registry }}/{{ $name }}@{{ $digest }}
{{- else -}}
{{ $image.registry }}/{{ $name }}:{{ default $root.Chart.AppVersion $image.tag }}
{{- end -}}
{{- end }}

{{/* What Pod Security "restricted" asks of a pod. 65532 is the user of all our images. */}}
{{- define "penstock.podSecurity" -}}
runAsNonRoot: true
runAsUser: 65532
runAsGroup: 65532
fsGroup: 65532
fsGroupChangePolicy: OnRootMismatch
seccompProfile: { type: RuntimeDefault }
{{- end }}

{{/* The same of a container. */}}
{{- define "penstock.containerSecurity" -}}
allowPrivilegeEscalation: false
readOnlyRootFilesystem: true
capabilities: { drop: [ALL] }
{{- end }}

{{/* Where pods run: (list $ .Values.gateway "gateway"). */}}
{{- define "penstock.placement" -}}
{{- $root := index . 0 -}}
{{- $part := index . 1 -}}
{{- with $root.Values.image.pullSecrets }}
imagePullSecrets: {{- toYaml . | nindent 2 }}
{{- end }}
{{- with $part.priorityClassName }}
priorityClassName: {{ . }}
{{- end }}
{{- with $part.nodeSelector }}
nodeSelector: {{- toYaml . | nindent 2 }}
{{- end }}
{{- with $part.tolerations }}
tolerations: {{- toYaml . | nindent 2 }}
{{- end }}
{{- with $part.affinity }}
affinity: {{- toYaml . | nindent 2 }}
{{- end }}
{{- end }}

{{/* Replicas on different nodes: (list $ .Values.gateway "gateway"). */}}
{{- define "penstock.spread" -}}
{{- $root := index . 0 -}}
{{- $part := index . 1 -}}
{{- $component := index . 2 -}}
topologySpreadConstraints:
{{- with $part.topologySpreadConstraints }}
{{- toYaml . | nindent 2 }}
{{- else }}
  - topologyKey: kubernetes.io/hostname
    maxSkew: 1
    whenUnsatisfiable: ScheduleAnyway
    labelSelector:
      matchLabels: {{- include "penstock.selector" (list $root $component) | nindent 8 }}
{{- end }}
{{- end }}

{{/* Seconds of sleep before a pod is asked to stop: (list . .Values.gateway). The sleep of a preStop hook came with 1.30. */}}
{{- define "penstock.preStop" -}}
{{- $ := index . 0 -}}
{{- ternary (int (index . 1).preStopSeconds) 0 (semverCompare ">=1.30.0-0" $.Capabilities.KubeVersion.Version) -}}
{{- end }}

{{/* A variable with the pod's own field: (list "PENSTOCK_POD" "metadata.name"). */}}
{{- define "penstock.fieldEnv" -}}
- name: {{ index . 0 }}
  valueFrom: { fieldRef: { fieldPath: {{ index . 1 }} } }
{{- end }}

{{/* The namespaces that Penstock looks after, or nothing for all. */}}
{{- define "penstock.namespaces" -}}
{{- if .Values.namespaces -}}
{{- .Values.namespaces | uniq | sortAlpha | join "," -}}
{{- end -}}
{{- end }}

{{/* The Secret with the database's URL and its key. */}}
{{- define "penstock.databaseSecret" -}}
{{- if .Values.postgres.bundled -}}
name: {{ include "penstock.name" . }}-postgres
key: url
{{- else -}}
name: {{ required "postgres.url.secretName is needed while postgres.bundled is false: the name of a Secret that holds a URL, postgres://user:password@host/database" .Values.postgres.url.secretName }}
key: {{ .Values.postgres.url.key }}
{{- end -}}
{{- end }}

{{/* Annotations of something that Helm makes for a moment and removes: (list "test" "-1"), the event and the order. */}}
{{- define "penstock.hook" -}}
helm.sh/hook: {{ index . 0 }}
helm.sh/hook-weight: {{ index . 1 | quote }}
helm.sh/hook-delete-policy: before-hook-creation,hook-succeeded
{{- end }}
