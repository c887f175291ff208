"""What options say of bytes per second."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from ecpds.errors import InvalidRequest
from ecpds.options import check_destination_options, check_user_options
from ecpds.rates import BY_NETWORK, Rates, rates, rates_at


class RateTests(SynchronousTestCase):
    def test_of_whom(self) -> None:
        options = {"portal.maxBytesPerSecForInput": "1K", "incoming.maxBytesPerSecForOutput": "2M"}
        self.assertEqual(rates(options, "portal"), Rates(download=1024))
        self.assertEqual(rates(options, "incoming"), Rates(upload=2 << 20))
        self.assertFalse(rates({"portal.maxBytesPerSecForInput": "0"}, "portal"))

    def test_the_first_network_counts(self) -> None:
        options = {BY_NETWORK: "192.0.2.7=0/0,192.0.2.0/24=5/6", "portal.maxBytesPerSecForInput": "9"}
        self.assertEqual(rates_at(options, ""), ("", rates(options, "portal")), "what is acquired comes from nowhere")
        found = [rates_at(options, address) for address in ("192.0.2.7", "192.0.2.8", "198.51.100.1", "2001:db8::1")]
        self.assertEqual(found, [("192.0.2.7/32", Rates()), ("192.0.2.0/24", Rates(5, 6)), ("", Rates(9)), ("", Rates(9))])

    def test_what_is_refused(self) -> None:
        check_user_options({BY_NETWORK: "192.0.2.0/24=10M/0,::/0=1k/1k"})
        for text in (
            "",
            "10M/1M",
            "192.0.2.0/24=10M",
            "192.0.2.1/24=1/1",
            "host=1/1",
            "192.0.2.0/24=1/1,",
            "192.0.2.0/24=-1/1",
        ):
            with self.subTest(text=text):
                refusal = self.assertRaises(InvalidRequest, check_user_options, {BY_NETWORK: text})
                self.assertIn("NETWORK=DOWNLOAD/UPLOAD", str(refusal))
        self.assertRaises(InvalidRequest, check_destination_options, {"incoming.maxBytesPerSecForInput": "1 MB"})
