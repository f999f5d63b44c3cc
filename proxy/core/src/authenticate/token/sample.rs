//! A token of a pod, as a Kubernetes 1.36 API server issued it, and what that server publishes to verify it.

use super::*;

pub(crate) const ISSUER: &str = "https://kubernetes.default.svc";
const KEY: &str = "9mmOVD5an20BvuOMp-sjU2cbIMHKMPPZ27h3ngitawY";
/// When it begins and ends.
pub(crate) const BEGINS: i64 = 1_795_274_733;
pub(crate) const ENDS: i64 = BEGINS + 3_600;

pub(crate) const TOKEN: &str = "eyJhbGciOiJSUzI1NiIsImtpZCI6IjltbU9WRDVhbjIwQnZ1T01wLXNqVTJjYklNSEtNUFBaMjdoM25naXRhd1kifQ.eyJhd\
     WQiOlsicGVuc3RvY2siXSwiZXhwIjoxNzk1Mjc4MzMzLCJpYXQiOjE3OTUyNzQ3MzMsImlzcyI6Imh0dHBzOi8va3ViZXJuZ\
     XRlcy5kZWZhdWx0LnN2YyIsImp0aSI6ImI1OThlMDFiLTgzMWQtNGJiOS1iMGY4LTM0NTI0YjA4NGQyNCIsImt1YmVybmV0Z\
     XMuaW8iOnsibmFtZXNwYWNlIjoic2VhcmNoIiwicG9kIjp7Im5hbWUiOiJjcmF3bGVyLTciLCJ1aWQiOiI3NDQ3MjEwMi0zZ\
     GFlLTQ3NTItOTNjMy05YzlhOGY5NmM4ZDcifSwic2VydmljZWFjY291bnQiOnsibmFtZSI6ImNyYXdsZXIiLCJ1aWQiOiJlM\
     WUyNTUyYy1kNjhlLTRjYzEtOGFiMy05MThlNTI0NmNhZDAifX0sIm5iZiI6MTc5NTI3NDczMywic3ViIjoic3lzdGVtOnNlc\
     nZpY2VhY2NvdW50OnNlYXJjaDpjcmF3bGVyIn0.HsjmWe5Yq8k_5q2APAmPD2NY2x56reBJeU2kmguvLyCGpKwWqu7gTO_7T\
     nUOaJ8Qd4NN6OKhwJvTij2QABbUyKOGiafwjfwsBng-kJK_M_weCnZrJmQX8fY4Jmbd8YXF3mb3DYvKzdU6WM2WS_l7yyNAH\
     yjpfvzFOkOmT_XNl74rGlJ2apRzzWhDZW0cR60AYac3i4ZV7WMNpXjE3aojpkukO0gpPp3eKjHRVHp2TO1iioKDk-OF8xsQm\
     OeI6AMPKyXC10HwLNe6Eb1koLTxI07CoafkfNXoZg9vHd535DzUAoc1z4wH606Vj7Al5EWTsIppabGL5NsUDLlHP4B1qQ";

const MODULUS: &str = "2nnFGMEQ0ABMOjRt8hNI8z5IJrUEyJ6cUkCse5RbAFdoULHD_jb0J649HiEUX4U6nlpZf38-\
     h57FyOOhnvoY1Qq3x8MdqR9f2aHG6LudAoIYKsgtHBaeuA-DeOD8GaYvkqDljy22mXLUuwz6TRjkFlOQe-JLftoIlN5JH94r\
     -whOErEulJmLsOQunH4vsMIl3wMb_7bRdXJzUVKPbglGe4k-\
     IRaCs2Pmsl59XMOzoLw1w5XME_tXiHdoSZYUVnKC2bSvc06BBmIw78fJd84h-\
     XiSkH6ceXzldSCpojhNDFcb8uA2sRHY51q7ViIR5faV0wWzwf39VS0HHcvr6EHWTw";

/// The server's published key.
pub(crate) fn key() -> IssuerKey {
    let modulus = URL_SAFE_NO_PAD.decode(MODULUS).unwrap();
    let key = PublicKey::Rsa { hash: RsaHash::Sha256, modulus, exponent: vec![1, 0, 1] };
    IssuerKey { id: KEY.into(), key }
}
