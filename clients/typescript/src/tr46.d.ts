declare module "tr46" {
  interface Rules {
    checkBidi?: boolean;
    checkJoiners?: boolean;
    useSTD3ASCIIRules?: boolean;
    verifyDNSLength?: boolean;
  }
  const tr46: {
    toASCII(domain: string, rules: Rules): string | null;
    toUnicode(domain: string, rules: Rules): { domain: string; error: boolean };
  };
  export default tr46;
}
