import { QueryClient, QueryClientProvider } from "@tanstack/react-query";
import { StrictMode } from "react";
import { createRoot } from "react-dom/client";
import { App } from "./App";
import "./index.css";
import { isUnauthorized } from "./api/client";

const queries = new QueryClient({
  defaultOptions: {
    queries: {
      refetchInterval: 5_000,
      staleTime: 2_000,
      retry: (count, error) => count < 2 && !isUnauthorized(error),
    },
  },
});

const root = document.getElementById("root");
if (root) {
  createRoot(root).render(
    <StrictMode>
      <QueryClientProvider client={queries}>
        <App />
      </QueryClientProvider>
    </StrictMode>,
  );
}
