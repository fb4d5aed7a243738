"""AWS as its clients see it: where a service is, who we are there, and the signature that says so.

botocore, imported when first needed (0.2 s), decides as it does for the SDKs: credentials, profiles, partitions. What
is asked for each message is our own: an attribute to read, and a signature.
"""

from wsgateway.aws.credentials import Credentials, Keys
from wsgateway.aws.endpoints import Endpoint, NoEndpoint, ServiceEndpoints
from wsgateway.aws.roles import CredentialSets
from wsgateway.aws.signature import Signer

__all__ = ["CredentialSets", "Credentials", "Endpoint", "Keys", "NoEndpoint", "ServiceEndpoints", "Signer"]
